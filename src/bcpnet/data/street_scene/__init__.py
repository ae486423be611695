"""What `bcpnet.data.streets` draws with: scene, renderer, textures, layout."""
