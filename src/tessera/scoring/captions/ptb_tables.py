"""Tables of the Stanford tokenizer, found by trying: every sign, every short word before a full stop."""

KEPT = """A1 A5-A9 AC AE-B4 B6-B9 BF D7 F7 37E 387 589 5BE 5C0 5C3 5C6 5F3-5F4 600-603 606-60C 614 61B
61E-61F 66A 66D 6D4 700-70D 7F6-7F8 964-965 E3F E4F 1FBD 2016-2017 201A 201E-2023 2030-2038 203B
203E-2042 2070 2074-207E 2080-208E 20A4 2100-2101 2103-2106 2108-2109 2114 2116-2118 211E-2123
2125 2127 2129 212E 213A-213B 2140-2144 214A-214D 214F 2155-215E 2190-2BFF 3001-3002 3012 30FB
FF01-FF0F FF1A-FF20 FF3B-FF40 FF5B-FF65 FFE0-FFE1 FFE5-FFE6"""
"""Ranges of signs outside ASCII that are words of their own; others that are no letters are dropped."""
MARKS = """2C2-2C5 2D2-2DF 2E5-2EB 2ED 2EF-36F 375 378-379 384-385 3F6 483-487 55A-55F 591-5BD 5BF 5C1-5C2
5C4-5C5 5C7 615-61A 64B-65E 670 6D6-6E4 6E7-6ED 6FD-6FE 70F 711 730-74C 7A6-7B0 7EB-7F3 900-903
93C 93E-94E 951-955 962-963 981-983 9BC 9BE-9C4 9C7-9C8 9CB-9CD 9D7 9E2-9E3 A01-A03 A3C A3E-A4F
A81-A83 ABC ABE-ACF B82 BBE-BC2 BC6-BC8 BCA-BCD C01-C03 C3E-C56 D3E-D44 D46-D48 E31 E34-E3A
E47-E4E EB1 EB4-EBC EC8-ECD"""
"""Ranges of marks that count as letters within a word."""
NUMERALS = """B2-B3 B9 BC-BE 9F4-9F9 B72-B77 BF0-BF2 C78-C7E D58-D5E D70-D78 F2A-F33 1369-137C 16EE-16F0
17F0-17F9 19DA 2070 2074-2079 2080-2089 2150-2182 2185-2189 2460-249B 24EA-24FF 2776-2793 2CFD
3007 3021-3029 3038-303A 3192-3195 3220-3229 3248-324F 3251-325F 3280-3289 32B1-32BF A6E6-A6EF
A830-A835 10000-10FFFF"""
"""Ranges of what Python counts among letters and the tokenizer does not."""
ABBREVIATIONS = frozenset(
    """al cf co ct dr ft ga jr ky lt md mo mr ms mt ph rd rt sq sr st va vs vt wm adj adm adv ala apr
    aug ave bhd cie col cos cpl dak dec det drs ens esq est etc ext feb fla fri gen gov hon inc ind
    jan jos jul jun kan ltd maj mar mfg mme mon mrs mtg neb nev nov oct pfc plc pte pty pvt rep rev
    sen sep seq sfc sgt spc ste sys tel thu tue wed wis wyo alex ariz assn asst atty bldg blvd brig
    bros capt cmdr colo conn corp dept elec govs insp intl invt kans mich minn mlle mont msgr natl
    okla penn ppte ppty pres prof ptes ptys reps sens sept supt tenn tues univ wisc assoc calif
    comdr lieut treas thurs messrs attys bancorp pptes pptys profs supts""".split()  # noqa: SIM905
)
"""Words that keep a full stop behind them, in any case."""
NAMES = frozenset(
    """az la pa ark del ill ore tex mass miss wash""".split()  # noqa: SIM905
)
"""The same, only when they begin with a capital."""
NEVER_CAPITALS = frozenset(
    """mfg mrs mtg pte pty ppte ppty ptes ptys""".split()  # noqa: SIM905
)
"""Of `ABBREVIATIONS`: lose it when written in capitals."""
TITLES = frozenset(
    """adj adm adv alex assoc asst atty attys ave brig capt cf cie cmdr col comdr cpl dept det dr drs
elec ens ft gen gov govs hon insp invt jos lieut lt maj messrs mfg mlle mme mr mrs ms msgr mt
mtg natl pfc ph pres prof profs pvt rep reps rev sen sens sfc sgt spc st ste supt supts treas vs
wm""".split()  # noqa: SIM905
)
"""Of `ABBREVIATIONS`: stand before the name without a space, too, as in `St.John`."""
SENTENCES = (
    "a|about|according|additionally|after|an|as|at|but|earlier|he|her|here|"
    "however|if|in|it|last|many|more|now|once|one|other|our|she|since|so|some|"
    "such|that|the|their|then|there|these|they|this|we|what|when|while|yet|you"
)
"""Words with a capital before which a letter with a full stop ends a sentence."""
BEFORE_DIGITS = "ca|no|op|pp|art|fig|nos|figs|prop"
"""Words that keep it only where a number follows."""
ENDINGS = (
    "bat|bmp|c|class|cgi|cpp|dll|docx?|exe|gif|gz|h|html?|jar|java|jpe?g|mov|mp3|pdf|php|pl|png|ppt|"
    + ("ps|py|sql|tar|txt|wav|x|xml|zip")
)
"""Of files whose names may begin with digits."""
