"""What happens to stored rows: summed up, kept, thrown away, saved and brought back."""
