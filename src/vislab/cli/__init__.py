"""The command: parsing and printing only. Heavy rooms are imported when a command needs them."""
