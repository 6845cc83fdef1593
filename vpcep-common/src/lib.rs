//! Map layouts and pure packet arithmetic shared by the vpcep data plane and controller.
#![no_std]
