//! The trust core against a repository in memory: the workflow, then the attacks, one named test each.

mod workflow;
