"""What a subscription is: rules and facts, free of any technology (standard library only)."""
