"""The command ``jobtide``: the one front door for people."""
