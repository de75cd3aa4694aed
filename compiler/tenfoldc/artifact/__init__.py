"""The last stage: object code and a manifest in, one shared library and its C header out."""
