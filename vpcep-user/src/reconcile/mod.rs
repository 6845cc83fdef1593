//! Making the data plane match the model.
pub mod compile;
pub mod desired;
pub mod tables;
