"""stsmt: a small, open speech-to-speech translation studio for Japanese and English."""

__version__ = "0.1.0"
