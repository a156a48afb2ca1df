use std::convert::Infallible;

use super::*;

/// Waking a sleeper on another CPU, and on the same.
const FAR: u64 = 15_000;
const NEAR: u64 = 2_500;
/// What a side does between two messages, if it is awake.
const WORK: u64 = 1_000;
/// Work of sides that do much for a message, and more than one machine's price of a wake-up.
const LOADS: [(u64, u64); 6] = [
    (WORK, FAR),
    (WORK, 2 * FAR),
    (10 * WORK, FAR),
    (10 * WORK, 2 * FAR),
    (35 * WORK, FAR),
    (35 * WORK, 2 * FAR),
];

/// One wait for a message that comes after `nanos`, and `wake` later if the waiter sleeps. How
/// long was looked.
fn wait(spinner: &mut Spinner, nanos: u64, wake: u64) -> u64 {
    if !spinner.pays() {
        if spinner.is_its_turn() {
            spinner.slept(nanos + wake);
        }
        return 0;
    }
    let found = nanos <= spinner.longest;
    let looked = nanos.min(spinner.longest);
    spinner.looked(looked, found);
    looked
}

/// One call between two CPUs: who sleeps is late.
fn call_across(client: &mut Spinner, server: &mut Spinner) {
    exchange(client, server, (WORK, FAR));
}

/// As [`call_across`], with so much work on both sides, and `far` to wake one.
fn exchange(client: &mut Spinner, server: &mut Spinner, (work, far): (u64, u64)) {
    let late = |other: &Spinner| if other.pays() { work } else { work + far };
    let (answer, request) = (late(server), late(client));
    wait(client, answer, far);
    wait(server, request, far);
    client.was_away(work);
    server.was_away(work);
}

/// One wait for somebody who cannot run while this side looks.
fn wait_on_one_cpu(spinner: &mut Spinner) -> u64 {
    let longest = spinner.longest;
    match spinner.pays() {
        true => wait(spinner, longest + WORK, NEAR),
        false => wait(spinner, WORK, NEAR),
    }
}

fn spinner() -> Spinner {
    Spinner::default()
}

#[test]
fn both_sides_find_out_that_looking_pays_between_two_cpus() {
    for load in LOADS {
        let (mut client, mut server) = (spinner(), spinner());
        for _ in 0..FIRST_PAUSE {
            exchange(&mut client, &mut server, load);
        }
        for _ in 0..10_000 {
            exchange(&mut client, &mut server, load);
            assert!(client.pays() && server.pays(), "{load:?}");
        }
    }
}

#[test]
fn a_side_that_had_given_up_notices_that_the_other_looks() {
    for load in LOADS {
        let (mut client, mut server) = (spinner(), spinner());
        // One side after the other waits for somebody on its own CPU, and grows tired.
        for _ in 0..100_000 {
            wait_on_one_cpu(&mut client);
            wait_on_one_cpu(&mut server);
            client.was_away(load.0);
            server.was_away(load.0);
        }
        assert_eq!((client.pause, server.pause), (LONGEST_PAUSE, LONGEST_PAUSE));
        // Their attempts fall far apart.
        for _ in 0..500 {
            exchange(&mut client, &mut Spinner::new(Spin::Off), load);
        }
        let mut calls = 0;
        while !(client.pays() && server.pays()) {
            exchange(&mut client, &mut server, load);
            calls += 1;
            assert!(calls <= 2 * LONGEST_PAUSE, "they never met: {load:?}");
        }
        for _ in 0..10_000 {
            exchange(&mut client, &mut server, load);
            assert!(client.pays() && server.pays(), "{load:?}");
        }
    }
}

#[test]
fn calls_at_a_pace_are_slept_for() {
    const PERIOD: u64 = 100_000;
    let (mut client, mut server) = (spinner(), spinner());
    let mut looked = 0;
    for _ in 0..100_000 {
        let answer = if server.pays() { WORK } else { WORK + FAR };
        looked += wait(&mut client, answer, FAR);
        client.was_away(PERIOD - answer);
        looked += wait(&mut server, PERIOD - WORK, 0);
        server.was_away(WORK);
    }
    assert!(looked > 0, "they try now and then");
    assert!(looked < 100_000 * PERIOD / 200, "{looked} ns of looking");
}

#[test]
fn one_sleep_of_one_side_does_not_end_it() {
    let (mut client, mut server) = (spinner(), spinner());
    for _ in 0..1000 {
        call_across(&mut client, &mut server);
    }
    for _ in 0..1000 {
        // The server was held up once: longer than anybody looks.
        wait(&mut client, LONGEST + FAR, FAR);
        wait(&mut server, WORK + FAR, FAR);
        for _ in 0..50 {
            call_across(&mut client, &mut server);
        }
        assert!(client.pays() && server.pays());
    }
}

#[test]
fn on_one_cpu_next_to_nothing_is_lost() {
    let mut spinner = spinner();
    let looked: u64 = (0..100_000).map(|_| wait_on_one_cpu(&mut spinner)).sum();
    assert!(looked > 0, "it tries now and then");
    let slept = 100_000 * (WORK + NEAR);
    assert!(looked * 100 < slept, "{looked} ns of looking");
}

#[test]
fn stops_at_once_when_the_other_side_moves_to_this_cpu() {
    let (mut client, mut server) = (spinner(), spinner());
    for _ in 0..10_000 {
        call_across(&mut client, &mut server);
    }
    let looked: u64 = (0..SHORT_PAUSE).map(|_| wait_on_one_cpu(&mut client)).sum();
    assert_eq!(looked, u64::from(IN_VAIN) * LONGEST);
}

#[test]
fn who_waits_long_never_looks() {
    let mut spinner = spinner();
    for _ in 0..100_000 {
        assert_eq!(wait(&mut spinner, 10 * LONG_WAIT, FAR), 0);
    }
}

#[test]
fn when_messages_stay_away_it_looks_once_more_and_sleeps() {
    let (mut client, mut server) = (spinner(), spinner());
    for _ in 0..1000 {
        call_across(&mut client, &mut server);
    }
    let looked: u64 = (0..1000).map(|_| wait(&mut server, 1_000_000, FAR)).sum();
    assert_eq!(looked, u64::from(IN_VAIN) * LONGEST);
}

#[test]
fn a_slow_answer_is_slept_for() {
    let looked = |nanos, away| {
        let mut spinner = spinner();
        let looks = (0..100_000).map(|_| {
            spinner.was_away(away);
            wait(&mut spinner, nanos, FAR)
        });
        let looked = looks.filter(|&nanos| nanos > 0).count();
        (looked < 2_000, looked > 80_000)
    };
    let (slept_for, looked_for) = ((true, false), (false, true));
    assert_eq!(looked(WORTH / 2, 2 * MUTUAL), looked_for);
    assert_eq!(looked(WORTH * 2, 2 * MUTUAL), slept_for);
    // Where the other side can be looking as well, less is slow.
    assert_eq!(looked(WORTH * 2, MUTUAL / 2), looked_for);
    assert_eq!(looked(MUTUAL * 3 / 2, MUTUAL / 2), slept_for);
}

#[test]
fn knows_how_long_it_is_away() {
    let mut spinner = spinner();
    let begun = Instant::now();
    let after = |micros| begun + Duration::from_micros(micros);
    spinner.left = Some(begun);
    spinner.lie_down(|| after(32));
    assert_eq!(spinner.away, 2_000);
    // Since when it was away now is not known: nothing has ended the sleep.
    spinner.lie_down(|| after(1000));
    assert_eq!(spinner.away, 2_000);
    spinner.wake();
    assert!(spinner.left.is_some());
    // Long is long.
    spinner.left = Some(begun);
    spinner.lie_down(|| after(1_000_000));
    assert_eq!(spinner.away, mean(2_000, LONG_WAIT));
    // What is there at once is found without a clock.
    spinner.left = Some(begun);
    assert_eq!(spinner.look(|| Ok::<_, Infallible>(Some(())), || true), Ok(Some(())));
    assert_eq!(spinner.left, None);
}

#[test]
fn can_be_switched_off_and_capped() {
    let mut off = Spinner::new(Spin::Off);
    let mut capped = Spinner::new(Spin::AtMost(Duration::from_micros(4)));
    for _ in 0..10_000 {
        assert_eq!(wait(&mut off, WORK, FAR), 0);
        assert!(wait(&mut capped, WORK, FAR) <= 4_000);
    }
    assert!(capped.pays(), "it pays below the cap");
    let looked: u64 = (0..10_000).map(|_| wait(&mut capped, 5_000, FAR)).sum();
    assert!(looked < 10_000 * 5_000 / 100, "and not above: {looked} ns of looking");
    let most = Spinner::new(Spin::AtMost(Duration::MAX));
    assert_eq!(most.longest, LONGEST);
}

#[test]
fn what_is_found_late_was_not_found_by_looking() {
    let mut spinner = spinner();
    for _ in 0..FIRST_PAUSE {
        wait(&mut spinner, WORK, NEAR);
    }
    assert!(spinner.pays());
    // The other side had its turn when this one was preempted.
    spinner.looked(4_000_000, true);
    spinner.looked(4_000_000, true);
    assert!(!spinner.pays());
}

#[test]
fn a_first_look_that_always_comes_too_early_becomes_rare() {
    let mut spinner = Spinner::new(Spin::Off);
    let nothing = || Ok::<Option<()>, Infallible>(None);
    let mut looks = 0;
    for _ in 0..1600 {
        if spinner.is_worth_a_look() {
            looks += 1;
            assert_eq!(spinner.look(nothing, || true), Ok(None));
        }
    }
    assert!((50..150).contains(&looks), "{looks}");
    while !spinner.is_worth_a_look() {}
    assert_eq!(spinner.look(|| Ok::<_, Infallible>(Some(())), || true), Ok(Some(())));
    assert!(spinner.is_worth_a_look(), "it was not too early after all");
}

#[test]
fn looks_once_while_it_does_not_pay_and_until_told_to_stop_while_it_does() {
    let mut spinner = spinner();
    let mut looks = 0;
    let mut count = || {
        looks += 1;
        Ok::<Option<u32>, Infallible>(None)
    };
    assert_eq!(spinner.look(&mut count, || true), Ok(None));
    assert_eq!(looks, 1);
    spinner.mode = Mode::Looking { average: 0, found: 0, in_vain: 0 };
    let mut looks = 0;
    let mut third = || {
        looks += 1;
        Ok::<_, Infallible>((looks == 3).then_some(looks))
    };
    assert_eq!(spinner.look(&mut third, || true), Ok(Some(3)));
    let mut looks = 0;
    let mut count = || {
        looks += 1;
        Ok::<Option<u32>, Infallible>(None)
    };
    assert_eq!(spinner.look(&mut count, || false), Ok(None));
    assert_eq!(looks, 1 + QUICK_LOOKS + 1, "once more after it was told");
    assert_eq!(spinner.look(|| Err::<Option<()>, _>("broken"), || true), Err("broken"));
}
