"""The user's words as written, with file:line:column. Reads and validates; decides nothing."""
