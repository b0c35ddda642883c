//! A strict reader of the OpenMetrics text format, 1.0: what a lenient one lets pass is a failure
//! here. <https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>

use std::collections::{BTreeMap, HashMap, HashSet};

/// A sample: the labels in the order of their names, and the value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// A metric family.
#[derive(Debug, Default)]
struct Family {
    kind: Option<String>,
    unit: Option<String>,
    help: Option<String>,
    samples: Vec<Sample>,
}

/// Everything that a text says.
#[derive(Debug)]
pub(crate) struct Exposition {
    families: HashMap<String, Family>,
}

impl Exposition {
    /// Reads a text; says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let body = text.strip_suffix("# EOF\n").ok_or("it does not end in # EOF")?;
        if !body.is_empty() && !body.ends_with('\n') {
            return Err("the last line does not end".into());
        }
        let mut families: HashMap<String, Family> = HashMap::new();
        let mut current: Option<String> = None;
        for line in body.lines() {
            let told = |reason: &str| format!("{reason}: {line:?}");
            let (name, rest) = match line.strip_prefix("# ") {
                Some(meta) => {
                    let mut words = meta.splitn(3, ' ');
                    let word = words.next().unwrap_or_default();
                    let name = words.next().ok_or_else(|| told("no name"))?;
                    (name.to_owned(), Some((word, words.next().unwrap_or_default())))
                }
                None => {
                    let name = current.clone().ok_or_else(|| told("a sample of no family"))?;
                    (name, None)
                }
            };
            if current.as_ref() != Some(&name) {
                if families.contains_key(&name) {
                    return Err(told("the family is not in one piece"));
                }
                current = Some(name.clone());
            }
            let family = families.entry(name.clone()).or_default();
            match rest {
                Some((word, value)) => {
                    describe(family, &name, word, value).map_err(|e| told(&e))?
                }
                None => {
                    let sample = sample(line).map_err(|e| told(&e))?;
                    family.samples.push(sample);
                }
            }
        }
        for (name, family) in &families {
            check(name, family).map_err(|reason| format!("{name}: {reason}"))?;
        }
        Ok(Self { families })
    }

    /// The value of a sample that has these labels, and perhaps others.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut samples = self.families.values().flat_map(|family| &family.samples);
        let has = |sample: &Sample, (name, value): &(&str, &str)| {
            sample.labels.get(*name).is_some_and(|it| it == value)
        };
        let found = samples.find(|it| it.name == name && labels.iter().all(|label| has(it, label)));
        found.map(|sample| sample.value)
    }

    /// The names of all families.
    pub(crate) fn names(&self) -> HashSet<&str> {
        self.families.keys().map(String::as_str).collect()
    }
}

fn describe(family: &mut Family, name: &str, word: &str, value: &str) -> Result<(), String> {
    if !family.samples.is_empty() {
        return Err("metadata behind samples".into());
    }
    if !is_name(name, ":") {
        return Err("not a name".into());
    }
    let place = match word {
        "TYPE" => &mut family.kind,
        "UNIT" => &mut family.unit,
        "HELP" => &mut family.help,
        _ => return Err("neither TYPE, UNIT nor HELP".into()),
    };
    match place.replace(value.to_owned()) {
        None => Ok(()),
        Some(_) => Err("said twice".into()),
    }
}

fn is_name(name: &str, also: &str) -> bool {
    let is_known = |c: char| c.is_ascii_alphanumeric() || c == '_' || also.contains(c);
    name.chars().all(is_known) && name.starts_with(|c: char| !c.is_ascii_digit())
}

fn sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            if let Some(after) = inside.strip_prefix('}') {
                rest = after;
                break;
            }
            let (label, after) = inside.split_once("=\"").ok_or("a label without a value")?;
            let (value, after) = quoted(after)?;
            if !is_name(label, "") || label.starts_with("__") {
                return Err(format!("{label:?} is no label"));
            }
            if labels.insert(label.to_owned(), value).is_some() {
                return Err(format!("{label} stands there twice"));
            }
            inside = match after.strip_prefix(',') {
                Some(more) if !more.starts_with('}') => more,
                Some(_) => return Err("a comma behind the last label".into()),
                None if after.starts_with('}') => after,
                None => return Err("no comma between labels".into()),
            };
        }
    }
    let value = rest.strip_prefix(' ').ok_or("no space before the value")?;
    let value: f64 = match value {
        "+Inf" => f64::INFINITY,
        other if other.contains(' ') => return Err("more than a value".into()),
        other => other.parse().map_err(|_| format!("{other:?} is no number"))?,
    };
    Ok(Sample { name: name.to_owned(), labels, value })
}

/// A value up to its quote, its escapes undone, and what follows.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                other => return Err(format!("{other:?} is no escape")),
            },
            other => value.push(other),
        }
    }
    Err("a value without an end".into())
}

fn check(name: &str, family: &Family) -> Result<(), String> {
    let kind = family.kind.as_deref().ok_or("it has no TYPE")?;
    if family.help.as_deref().is_none_or(|help| help.len() < 10) {
        return Err("it has no HELP that says something".into());
    }
    if let Some(unit) = &family.unit
        && !name.ends_with(&format!("_{unit}"))
    {
        return Err(format!("its name lacks its unit {unit}"));
    }
    let mut seen = HashSet::new();
    for sample in &family.samples {
        let suffix = sample.name.strip_prefix(name).ok_or_else(|| format!("{sample:?}"))?;
        let is_known = match kind {
            "counter" => matches!(suffix, "_total" | "_created"),
            "histogram" => matches!(suffix, "_bucket" | "_count" | "_sum" | "_created"),
            "info" => suffix == "_info" && sample.value == 1.0,
            "gauge" => suffix.is_empty(),
            other => return Err(format!("{other} is no type")),
        };
        if !is_known {
            return Err(format!("no sample of a {kind}: {sample:?}"));
        }
        if matches!(kind, "counter" | "histogram") && (sample.value < 0.0 || sample.value.is_nan())
        {
            return Err(format!("less than nothing: {sample:?}"));
        }
        if !seen.insert((&sample.name, &sample.labels)) {
            return Err(format!("it stands there twice: {sample:?}"));
        }
    }
    if kind == "histogram" { check_histogram(name, family) } else { Ok(()) }
}

/// Every label set has buckets that rise, up to one for everything, which is the count.
fn check_histogram(name: &str, family: &Family) -> Result<(), String> {
    let mut groups: Vec<(BTreeMap<String, String>, Vec<&Sample>)> = Vec::new();
    for sample in &family.samples {
        let mut labels = sample.labels.clone();
        labels.remove("le");
        let known = groups.iter().position(|(of, _)| *of == labels);
        match known {
            Some(index) if index + 1 == groups.len() => groups[index].1.push(sample),
            Some(_) => return Err(format!("{labels:?} is not in one piece")),
            None => groups.push((labels, vec![sample])),
        }
    }
    for (labels, samples) in groups {
        let one = |suffix: &str| {
            let full = format!("{name}{suffix}");
            samples.iter().find(|it| it.name == full).map(|it| it.value)
        };
        let (count, sum) = (one("_count"), one("_sum"));
        let (Some(count), Some(_)) = (count, sum) else {
            return Err(format!("{labels:?} lacks its count or its sum"));
        };
        let mut last = (f64::NEG_INFINITY, 0.0);
        for sample in samples.iter().filter(|it| it.name.ends_with("_bucket")) {
            let le = sample.labels.get("le").ok_or("a bucket without le")?;
            let bound = if le == "+Inf" { f64::INFINITY } else { le.parse().unwrap_or(f64::NAN) };
            if bound.is_finite() && !le.contains(['.', 'e']) {
                return Err(format!("le is not written as a float: {le}"));
            }
            if bound.is_nan() || bound <= last.0 || sample.value < last.1 {
                return Err(format!("the buckets do not rise: {sample:?}"));
            }
            last = (bound, sample.value);
        }
        if last != (f64::INFINITY, count) {
            return Err(format!("{labels:?}: the last bucket is {last:?}, the count {count}"));
        }
    }
    Ok(())
}

#[test]
fn the_reader_is_strict() {
    let head = "# HELP a Some words here.\n# TYPE a gauge\n";
    let counter = "# HELP a Some words here.\n# TYPE a counter\n";
    let histogram = "# HELP a Some words here.\n# TYPE a histogram\n";
    let table = [
        (format!("{head}a{{b=\"c\\n\\\"\\\\\",d=\"}}\"}} 1\n# EOF\n"), true),
        (format!("{histogram}a_sum 1.0\na_count 1\na_bucket{{le=\"+Inf\"}} 1\n# EOF\n"), true),
        (format!("{head}a 1\n"), false),
        (format!("{head}a 1\n# EOF\n\n"), false),
        (format!("{head}a 1\na 1\n# EOF\n"), false),
        (format!("{head}a_total 1\n# EOF\n"), false),
        (format!("{head}a one\n# EOF\n"), false),
        (format!("{head}a{{b=\"c\",}} 1\n# EOF\n"), false),
        (format!("{head}a{{b=\"c\\t\"}} 1\n# EOF\n"), false),
        (format!("{head}a{{b=\"c\" 1\n# EOF\n"), false),
        (format!("{head}{head}a 1\n# EOF\n"), false),
        (format!("{head}a 1\n# UNIT a seconds\n# EOF\n"), false),
        ("# HELP a Some words here.\n# TYPE a gauge\n# UNIT a seconds\na 1\n# EOF\n".into(), false),
        ("a 1\n# EOF\n".into(), false),
        (format!("{counter}a 1\n# EOF\n"), false),
        (format!("{counter}a_total -1\n# EOF\n"), false),
        (format!("{histogram}a_sum 1.0\na_count 1\n# EOF\n"), false),
        (format!("{histogram}a_sum 1.0\na_count 2\na_bucket{{le=\"+Inf\"}} 1\n# EOF\n"), false),
        (
            format!(
                "{histogram}a_sum 1.0\na_count 1\na_bucket{{le=\"1.0\"}} 2\n\
                 a_bucket{{le=\"+Inf\"}} 1\n# EOF\n"
            ),
            false,
        ),
    ];
    for (text, is_right) in table {
        let parsed = Exposition::parse(&text);
        assert_eq!(parsed.is_ok(), is_right, "{text}\n{parsed:?}");
    }
}
