"""The domain `scenes`: rendered pictures of one object on a background, with known factors, exact masks and two oracles."""
