//! netipc itself, as a user of its public API sees it.

use anyhow::{Result, bail};

use crate::peer::{Case, say};

pub(crate) fn serve(case: &Case<'_>) -> Result<()> {
    say("UNSUPPORTED")?;
    bail!("{} is not served here", case.task.scenario)
}

pub(crate) fn call(case: &Case<'_>) -> Result<()> {
    say("UNSUPPORTED")?;
    bail!("{} is not called here", case.task.scenario)
}
