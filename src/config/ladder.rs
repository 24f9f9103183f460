//! Which rungs links may have, and in which order.

use fmi_actors::channel::Rung;

use super::suggest;

/// Reads a comma list of rungs, the best first.
pub(super) fn list(text: &str) -> Result<Vec<Rung>, String> {
    let ladder = text.split(',').map(|rung| read(rung.trim()));
    let ladder = ladder.collect::<Result<Vec<_>, _>>()?;
    check(&ladder)?;
    Ok(ladder)
}

/// Reads the name of a rung.
pub(super) fn read(name: &str) -> Result<Rung, String> {
    let names = || Rung::LADDER.iter().map(|rung| rung.name());
    if let Some(rung) = Rung::LADDER.into_iter().find(|rung| rung.name() == name) {
        return Ok(rung);
    }
    Err(match (name, suggest::closest(name, names())) {
        ("", _) => "a rung with no name in the list: take the extra comma away".to_owned(),
        ("local", _) => "local is no rung that can be set: ranks of one process have no way but \
                         that"
            .to_owned(),
        (_, Some(known)) => format!("{name:?} is no rung: did you mean {known:?}?"),
        (_, None) => {
            format!("{name:?} is no rung: the rungs are machine, direct, punched, relay and store")
        }
    })
}

/// Refuses a ladder on which nobody gets anywhere, or one rung twice.
pub(super) fn check(ladder: &[Rung]) -> Result<(), String> {
    if ladder.is_empty() {
        return Err("no rung is left, so no process reaches another: name at least one of \
                    machine, direct, punched, relay and store"
            .to_owned());
    }
    for (at, rung) in ladder.iter().enumerate() {
        if !Rung::LADDER.contains(rung) {
            return read(rung.name()).map(drop);
        }
        if ladder[..at].contains(rung) {
            return Err(format!("the rung {rung} is named twice: name it once"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rungs_in_their_order() {
        assert_eq!(list("machine,direct, punched,relay,store"), Ok(Rung::LADDER.to_vec()));
        assert_eq!(list("relay,direct"), Ok(vec![Rung::Relay, Rung::Direct]));
    }

    #[test]
    fn refuses_what_is_no_ladder() {
        for (text, wrong) in [
            ("dirct", "\"dirct\" is no rung: did you mean \"direct\"?"),
            (
                "stairs",
                "\"stairs\" is no rung: the rungs are machine, direct, punched, relay and store",
            ),
            ("direct,,relay", "a rung with no name in the list: take the extra comma away"),
            ("relay,direct,relay", "the rung relay is named twice: name it once"),
            (
                "local,direct",
                "local is no rung that can be set: ranks of one process have no way but that",
            ),
        ] {
            assert_eq!(list(text).unwrap_err(), wrong, "{text}");
        }
        let wrong = "no rung is left, so no process reaches another: name at least one of \
                     machine, direct, punched, relay and store";
        assert_eq!(check(&[]).unwrap_err(), wrong);
        assert!(check(&[Rung::Local]).is_err());
    }
}
