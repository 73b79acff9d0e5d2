//! pairbench compares the two ways of serving a model with LMDeploy.

pub mod record;
pub mod report;
pub mod stats;
