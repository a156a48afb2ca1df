//! What people see.

pub mod escape;
pub mod output;
pub mod screen;
pub mod style;
pub mod table;
