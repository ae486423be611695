"""Video files: frames out of them and frames into them, with their times and their sound, by FFmpeg (PyAV)."""

from __future__ import annotations

from bcpnet.media.video.open import is_video
from bcpnet.media.video.read import ALL, Cut, EmptyCutError, VideoFrame, VideoInfo, read_video, video_frames, video_info
from bcpnet.media.video.sound import Sound, lost_sound
from bcpnet.media.video.write import VideoWriter, is_marked_video

__all__ = [
    "ALL", "Cut", "EmptyCutError", "Sound", "VideoFrame", "VideoInfo", "VideoWriter", "is_marked_video", "is_video",
    "lost_sound", "read_video", "video_frames", "video_info",
]  # fmt: skip
