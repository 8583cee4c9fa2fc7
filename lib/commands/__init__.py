"""Commands of the scripts that are a study or a tool of their own: each module a subject; heavy imports wait inside them."""
