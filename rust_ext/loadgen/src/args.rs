//! `--name value` arguments: strict, and small enough to need no library.

use std::str::FromStr;

/// The arguments of one invocation; what is never taken is refused at the end.
#[derive(Debug)]
pub struct Args {
    left: Vec<String>,
}

impl Args {
    /// The process's own arguments.
    #[must_use]
    pub fn from_env() -> Self {
        Self::new(std::env::args().skip(1))
    }

    /// These arguments.
    pub fn new(args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { left: args.into_iter().map(Into::into).collect() }
    }

    /// Takes a flag without a value.
    pub fn flag(&mut self, name: &str) -> bool {
        match self.left.iter().position(|a| a == name) {
            Some(at) => {
                self.left.remove(at);
                true
            }
            None => false,
        }
    }

    /// Takes every value of a name, in order.
    ///
    /// # Errors
    /// The name, when it stands without a value or with one that does not fit.
    pub fn all<T: FromStr>(&mut self, name: &str) -> Result<Vec<T>, String> {
        let mut found = Vec::new();
        while let Some(at) = self.left.iter().position(|a| a == name) {
            if at + 1 == self.left.len() {
                return Err(format!("{name} needs a value"));
            }
            let value = self.left.remove(at + 1);
            self.left.remove(at);
            found.push(value.parse().map_err(|_| format!("{name} cannot be {value:?}"))?);
        }
        Ok(found)
    }

    /// Takes the one value of a name, if it is there.
    ///
    /// # Errors
    /// As [`Args::all`], and when it stands twice.
    pub fn one<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, String> {
        let mut all = self.all(name)?;
        if all.len() > 1 { Err(format!("{name} may stand once")) } else { Ok(all.pop()) }
    }

    /// Takes the one value of a name that must be there.
    ///
    /// # Errors
    /// As [`Args::one`], and when it is missing.
    pub fn required<T: FromStr>(&mut self, name: &str) -> Result<T, String> {
        self.one(name)?.ok_or_else(|| format!("{name} is required"))
    }

    /// Refuses what is left.
    ///
    /// # Errors
    /// The first argument nobody took.
    pub fn finish(self) -> Result<(), String> {
        self.left.first().map_or(Ok(()), |extra| Err(format!("unknown argument {extra:?}")))
    }
}

/// Prints the error and the usage to stderr and ends the process with status 2.
pub fn usage(error: &str, usage: &str) -> ! {
    eprintln!("{error}\n\n{usage}");
    std::process::exit(2)
}

#[cfg(test)]
mod tests {
    use super::Args;

    #[test]
    fn takes_what_it_knows_and_refuses_the_rest() {
        let mut args = Args::new(["--path", "/a", "--path", "/b", "--idle", "--port", "x"]);
        assert_eq!(args.all::<String>("--path"), Ok(vec!["/a".to_owned(), "/b".to_owned()]));
        assert!(args.flag("--idle") && !args.flag("--idle"));
        assert_eq!(args.one::<u16>("--port"), Err("--port cannot be \"x\"".to_owned()));
        assert_eq!(Args::new(["--x"]).finish(), Err("unknown argument \"--x\"".to_owned()));
        assert_eq!(Args::new(["--port"]).one::<u16>("--port"), Err("--port needs a value".to_owned()));
        assert_eq!(Args::new(["--p", "1", "--p", "2"]).one::<u8>("--p"), Err("--p may stand once".to_owned()));
        assert_eq!(Args::new([""; 0]).required::<u8>("--p"), Err("--p is required".to_owned()));
    }
}
