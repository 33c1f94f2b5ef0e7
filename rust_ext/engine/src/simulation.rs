//! Entry points of the simulation: connections over the in-memory transport, driven from one thread by a seed.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use crate::fault::FaultKind;
use crate::target::Target;
use crate::transport::Stream;
pub use crate::transport::memory::{End, pair};

/// What the simulation does when the engine opens a connection: the origin's end is its own business.
pub type OnDial = Rc<RefCell<dyn FnMut() -> Option<End>>>;

/// The simulation's dialer.
#[derive(Clone)]
pub struct Dial(pub OnDial);

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dial")
    }
}

impl Dial {
    pub(crate) async fn open(&self, _target: &Arc<Target>) -> Result<Stream, FaultKind> {
        (self.0.borrow_mut())().map(Stream::Memory).ok_or(FaultKind::Connect)
    }
}
