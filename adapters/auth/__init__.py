"""JSON Web Tokens: who a user is.

keys    where the verifying keys come from: a JWKS address, a public key, a shared secret
tokens  the port `authentication`, on top of these
"""
