//! See signature.rs.
