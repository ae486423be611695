"""What a class map says: connected regions, free space, shares of zones, and COCO's and supervision's formats."""
