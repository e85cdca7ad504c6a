"""The command ``jobtide``, for operators and users."""
