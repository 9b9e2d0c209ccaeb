"""Networks that only training and evaluation use: discriminators and their frozen feature network."""
