//! An application cache that is fast and right.
