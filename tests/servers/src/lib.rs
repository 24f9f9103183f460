//! Real servers for tests: each on a free port of this machine, with faults where a test wants some,
//! and gone when the test ends; or those that the environment names.

#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "s3")]
pub mod s3;
pub mod slurm;
