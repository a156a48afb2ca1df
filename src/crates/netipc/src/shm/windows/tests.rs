//! Objects that are made, and objects that are found.
