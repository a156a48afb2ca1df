//! Pipes, aborts and pollers, with real handles.
