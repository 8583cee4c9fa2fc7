"""Pages that open from disk: everything inside one HTML file, made from records alone."""
