//! Is this policy weaker than that one, and what shows it.

/// A policy section that knows when it is weaker than another.
///
/// One direction is enough: [`compare`] derives the three-valued answer from both.
pub trait Order {
    /// An event that the engine treats differently under the two policies.
    type Witness;

    /// An event against which `self` protects less than `baseline` does, if there is one.
    fn weakening(&self, baseline: &Self) -> Option<Self::Witness>;
}

/// How a candidate stands to a baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison<W> {
    /// As strong, or stronger.
    NoWeaker,
    /// Weaker, and nowhere stronger.
    Weaker(W),
    /// Weaker in one respect and stronger in another; only an explicit decision can choose.
    Incomparable {
        /// What the baseline protects against and the candidate does not.
        weaker: W,
        /// What the candidate protects against and the baseline does not.
        stronger: W,
    },
}

impl<W> Comparison<W> {
    /// Whether the candidate may stand in for the baseline.
    #[must_use]
    pub const fn is_no_weaker(&self) -> bool {
        matches!(self, Self::NoWeaker)
    }
}

/// How `candidate` stands to `baseline`.
pub fn compare<S: Order>(candidate: &S, baseline: &S) -> Comparison<S::Witness> {
    match (candidate.weakening(baseline), baseline.weakening(candidate)) {
        (None, _) => Comparison::NoWeaker,
        (Some(weaker), None) => Comparison::Weaker(weaker),
        (Some(weaker), Some(stronger)) => Comparison::Incomparable { weaker, stronger },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets of small numbers; more is stronger.
    struct Refuses(u8);

    impl Order for Refuses {
        type Witness = u8;

        fn weakening(&self, baseline: &Self) -> Option<u8> {
            (0..8).find(|bit| baseline.0 & !self.0 & (1 << bit) != 0)
        }
    }

    #[test]
    fn three_answers() {
        assert_eq!(compare(&Refuses(7), &Refuses(7)), Comparison::NoWeaker);
        assert_eq!(compare(&Refuses(7), &Refuses(3)), Comparison::NoWeaker);
        assert_eq!(compare(&Refuses(3), &Refuses(7)), Comparison::Weaker(2));
        let both = Comparison::Incomparable { weaker: 1, stronger: 0 };
        assert_eq!(compare(&Refuses(1), &Refuses(2)), both);
    }
}
