//! Making the data plane match the model.
pub mod desired;
