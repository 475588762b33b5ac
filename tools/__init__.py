"""Small programs that the makefile runs."""
