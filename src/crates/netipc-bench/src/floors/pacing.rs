//! Calling nobody at a given rate: what the caller's own timer costs in the paced cases.

use anyhow::{Result, ensure};

use crate::peer::Case;

pub(crate) fn call(case: &Case<'_>) -> Result<()> {
    ensure!(case.task.rate > 0, "rate= is missing");
    case.measure(1, vec![|| Ok(())])
}
