//! Time limits and servers for the tests of this workspace.
