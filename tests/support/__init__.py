"""The real parts that tests run against, and the words that tests are written in."""
