//! What comes next from a pipe, as far as it is known.

use std::{io, os::windows::io::OwnedHandle, sync::Arc};

use super::{
    faults::is_end,
    operation::{Operation, Transfer},
};

/// How much of a packet is read before the rest: as much as every receiver has room for.
pub(super) const HEAD: usize = 32;

/// Reads of one end, of which one of a head is under way whenever somebody waits for a packet.
pub(super) struct Reading {
    pub(super) operation: Operation,
    pub(super) next: Next,
}

/// What is known of the packet that comes next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    Unknown,
    /// Its first bytes are read.
    Head(Transfer),
    /// There is none: the peer hung up.
    End,
    /// The system cannot read it, and says so with this number.
    Failed(i32),
}

impl Reading {
    /// Nothing is read from `file` yet.
    pub(super) fn new(file: Arc<OwnedHandle>) -> io::Result<Self> {
        Ok(Reading { operation: Operation::new(file)?, next: Next::Unknown })
    }

    /// Finds out what comes next, if it is there.
    pub(super) fn look(&mut self) {
        let Next::Unknown = self.next else { return };
        let read = match self.operation.is_under_way() {
            true => self.operation.finish(),
            false => self.operation.read(HEAD),
        };
        self.next = match read {
            None => Next::Unknown,
            Some(Ok(Transfer { len: 0, .. })) => Next::End,
            Some(Ok(head)) => Next::Head(head),
            Some(Err(cause)) if is_end(&cause) => Next::End,
            Some(Err(cause)) => Next::Failed(cause.raw_os_error().unwrap_or_default()),
        };
    }

    /// Throws the packet away of which the head is read, and looks for the next.
    pub(super) fn skip(&mut self) -> io::Result<()> {
        if let Next::Head(Transfer { more, .. }) = self.next {
            self.next = Next::Unknown;
            if more {
                self.skip_rest()?;
            }
        }
        self.look();
        Ok(())
    }

    /// Throws away what is left of a packet.
    pub(super) fn skip_rest(&mut self) -> io::Result<()> {
        let mut thrown_away = [0; 4096];
        while self.operation.read_rest(&mut thrown_away)?.more {}
        Ok(())
    }
}
