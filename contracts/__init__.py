"""What others build on, written from the code: `make contracts`, and a test that it is current."""
