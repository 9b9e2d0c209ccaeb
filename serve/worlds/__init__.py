"""Store worlds with their history, limit what they may contain, and place photographs in them."""
