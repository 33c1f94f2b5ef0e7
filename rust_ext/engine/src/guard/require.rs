//! What the identity must have.

use fastgate_core::auth::require::Requirement;
use fastgate_core::snapshot::policies as plain;

use super::{Ask, Compile, Denial, Step};
use crate::fault::FaultKind;

/// What the identity must have.
#[derive(Debug)]
pub(crate) struct Require(Requirement);

impl Require {
    pub(crate) fn compile(plain: &plain::Require, cx: &mut Compile<'_>) -> Option<Self> {
        Requirement::compile(plain).map_err(|message| cx.invalid("expression", message)).ok().map(Self)
    }

    pub(crate) fn judge(&self, ask: &Ask<'_>) -> Step {
        match self.0.judge(ask) {
            Ok(()) => Step::Pass,
            Err(lacks) => Denial::new(FaultKind::Forbidden, "require", lacks.to_string()).into(),
        }
    }
}
