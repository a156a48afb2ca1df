use std::{sync::mpsc, thread, time::Instant};

use super::{LONG, SHORT};
use crate::sys::Alarm;

#[test]
fn goes_off_once_when_its_time_has_come() {
    let alarm = Alarm::new().unwrap();
    let at = Instant::now() + SHORT;
    alarm.set(Some(at));
    assert!(alarm.wait());
    assert!(Instant::now() >= at);
    // A second time would come before the end.
    alarm.turn_off();
    assert!(!alarm.wait());
}

#[test]
fn a_time_that_is_over_is_now() {
    let alarm = Alarm::new().unwrap();
    alarm.set(Some(Instant::now()));
    assert!(alarm.wait());
}

#[test]
fn can_be_set_and_turned_off_while_somebody_waits() {
    let alarm = Alarm::new().unwrap();
    let begun = Instant::now();
    alarm.set(Some(begun + LONG));
    let (rang, rings) = mpsc::channel();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            rang.send(alarm.wait()).unwrap();
            alarm.wait()
        });
        alarm.set(None);
        alarm.set(Some(begun + SHORT));
        assert!(rings.recv().unwrap());
        alarm.turn_off();
        assert!(!waiting.join().unwrap());
    });
    assert!(begun.elapsed() < LONG);
}
