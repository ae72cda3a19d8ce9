"""Packages that a device may not have."""
import importlib
import sys


def needed(name, package):
    """A module, or a sentence that says how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        sys.exit(f"This Python ({sys.executable}) does not have {name}; {package}.")
