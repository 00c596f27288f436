//! The outcomes as one picture, in SVG: what each algorithm lets by, and whom it keeps out.

use std::fmt::Write as _;

use crate::attack::Attack;
use crate::siege::{Algorithm, Row};

const ROW: u32 = 26;
const TOP: u32 = 88;
const NAMES: u32 = 290;
/// Where the bars of the three columns begin, and how long the longest is.
const COLUMNS: [u32; 3] = [300, 580, 860];
const LONGEST: f64 = 220.0;
const WIDTH: u32 = 1_110;
/// The left scale is logarithmic and ends here.
const MOST: f64 = 100_000.0;

/// The worst of an algorithm over all attacks.
struct Worst {
    algorithm: Algorithm,
    guesses: (usize, Attack),
    false_locks: (f64, Attack),
    victims: (f64, Attack),
}

fn worst(rows: &[Row]) -> Vec<Worst> {
    let mut all: Vec<Worst> = Vec::new();
    for Row { attack, algorithm, outcome } in rows {
        let guesses = (outcome.guesses, *attack);
        let false_locks = (outcome.false_locks.percent().unwrap_or_default(), *attack);
        let victims = (outcome.known.percent().unwrap_or(100.0), *attack);
        match all.iter_mut().find(|worst| worst.algorithm == *algorithm) {
            None => all.push(Worst { algorithm: *algorithm, guesses, false_locks, victims }),
            Some(worst) => {
                if guesses.0 > worst.guesses.0 {
                    worst.guesses = guesses;
                }
                if false_locks.0 > worst.false_locks.0 {
                    worst.false_locks = false_locks;
                }
                if victims.0 < worst.victims.0 {
                    worst.victims = victims;
                }
            }
        }
    }
    all
}

/// How long a bar of so many guesses is: one is nothing, `MOST` is all.
fn logarithmic(guesses: usize) -> f64 {
    let guesses = u32::try_from(guesses).map_or(MOST, f64::from).max(1.0);
    (guesses.ln() / MOST.ln()).min(1.0) * LONGEST
}

/// The picture: a line for each algorithm with its worst over all attacks, in the order of `rows`.
#[must_use]
pub fn picture(rows: &[Row]) -> String {
    let all = worst(rows);
    let lines = u32::try_from(all.len()).unwrap_or(u32::MAX);
    let bottom = TOP.saturating_add(ROW.saturating_mul(lines));
    let height = bottom.saturating_add(34);
    let mut out = String::new();
    // Writing to a `String` does not fail.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\" \
         role=\"img\" aria-labelledby=\"title\">\n\
         <title id=\"title\">Guesses let by and honest users kept out, the worst of all attacks on \
         each algorithm</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"28\" font-size=\"17\" font-weight=\"bold\">The worst of {} attacks on \
         each algorithm</text>",
        attacks(rows),
    );
    let titles = [
        "guesses verified, an account a day",
        "not attacked, and kept out, %",
        "attacked, in on their device, %",
    ];
    for (title, left) in titles.iter().zip(COLUMNS) {
        let _ = writeln!(out, "<text x=\"{left}\" y=\"56\" font-weight=\"bold\">{title}</text>");
    }
    let decades = [1, 10, 100, 1_000, 10_000, 100_000];
    for guesses in decades {
        grid(&mut out, COLUMNS[0], logarithmic(guesses), &grouped(guesses), bottom);
    }
    for percent in [0_u32, 25, 50, 75, 100] {
        let at = f64::from(percent) / 100.0 * LONGEST;
        grid(&mut out, COLUMNS[1], at, &percent.to_string(), bottom);
        grid(&mut out, COLUMNS[2], at, &percent.to_string(), bottom);
    }
    for (number, worst) in (0_u32..).zip(&all) {
        line(&mut out, TOP.saturating_add(ROW.saturating_mul(number)), worst);
    }
    let _ = writeln!(
        out,
        "<text x=\"16\" y=\"{}\" fill=\"#555\" font-size=\"12\">Blue: Vouchsafe. Grey: the published \
         algorithms of others. Left: logarithmic. In brackets: under which attack, of all the worst.</text>\n</svg>",
        bottom.saturating_add(22),
    );
    out
}

fn attacks(rows: &[Row]) -> usize {
    let mut seen: Vec<Attack> = Vec::new();
    for Row { attack, .. } in rows {
        if *attack != Attack::Peace && !seen.contains(attack) {
            seen.push(*attack);
        }
    }
    seen.len()
}

fn grid(out: &mut String, left: u32, at: f64, text: &str, bottom: u32) {
    let x = f64::from(left) + at;
    let _ = writeln!(
        out,
        "<path d=\"M{x:.1} {TOP}V{bottom}\" stroke=\"#ddd\"/><text x=\"{x:.1}\" y=\"{}\" \
         text-anchor=\"middle\" font-size=\"11\" fill=\"#555\">{text}</text>",
        TOP.saturating_sub(8),
    );
}

fn line(out: &mut String, top: u32, worst: &Worst) {
    let ours = worst.algorithm.is_ours();
    let (colour, weight) = if ours { ("#1f5fa8", "bold") } else { ("#8a8f98", "normal") };
    let base = top.saturating_add(18);
    let _ = writeln!(
        out,
        "<text x=\"{NAMES}\" y=\"{base}\" text-anchor=\"end\" font-weight=\"{weight}\">{}</text>",
        worst.algorithm.name(),
    );
    let (guesses, during) = worst.guesses;
    let text = format!("{} ({during})", grouped(guesses));
    bar(out, COLUMNS[0], top, logarithmic(guesses), colour, &text);
    for ((percent, during), left) in
        [worst.false_locks, worst.victims].into_iter().zip([COLUMNS[1], COLUMNS[2]])
    {
        let text = match percent > 0.0 {
            true => format!("{percent:.1} ({during})"),
            false => "0".to_owned(),
        };
        bar(out, left, top, percent / 100.0 * LONGEST, colour, &text);
    }
}

fn bar(out: &mut String, left: u32, top: u32, length: f64, colour: &str, text: &str) {
    let (y, base) = (top.saturating_add(5), top.saturating_add(18));
    // Behind the bar, or inside where there is no room behind it.
    let inside = length > LONGEST * 0.6;
    let (x, anchor, ink) = match inside {
        true => (f64::from(left) + length - 6.0, "end", "#fff"),
        false => (f64::from(left) + length + 6.0, "start", "#222"),
    };
    let _ = writeln!(
        out,
        "<rect x=\"{left}\" y=\"{y}\" width=\"{length:.1}\" height=\"16\" fill=\"{colour}\"/>\
         <text x=\"{x:.1}\" y=\"{base}\" text-anchor=\"{anchor}\" font-size=\"12\" \
         fill=\"{ink}\">{text}</text>",
    );
}

/// With a thin space between thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digits.len().saturating_sub(at).is_multiple_of(3) {
            out.push('\u{2009}');
        }
        out.push(digit);
    }
    out
}
