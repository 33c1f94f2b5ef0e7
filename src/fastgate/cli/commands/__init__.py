"""The commands: their options and help texts; what they do stands in the modules above."""
