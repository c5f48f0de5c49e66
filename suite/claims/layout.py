"""Claims: the layouts of a paper's provenance and of a mapping, each said once; the loaders walk them."""

from __future__ import annotations

from suite.axes import AXES
from suite.axes.domains import Choice, Integer, Number, Text
from suite.cards.layout import LINE, LINK, NAME, PROSE, AnyScalar, Object, Scalar, Sequence, Table
from suite.claims.claim import COLUMNS, Kind
from suite.studies.layout import LEVEL_ID, SIZE_NAMES, SIZES, STUDY_ID, WHERE

VERSION = 1

PAPER_ID = Text(pattern="^[a-z0-9][a-z0-9-]*$", longest=60, says="an id (small letters, digits, '-')")
TABLE_ID = Text(pattern="^table[1-9][0-9]?$", longest=8, says="table and its number, such as table2")
CLAIM_ID = Text(
    pattern="^[a-z0-9][a-z0-9-]*/(table[1-9][0-9]?|prose)(/[1-9][0-9]{0,3})?$",
    longest=80,
    says="the id of a claim or of a table, such as flexround/table2/4 or flexround/table2",
)
LINES = Sequence(Scalar(LINE), most=20)
STATED = Object("stated", {id: Scalar(axis.domain) for id, axis in AXES.items()})

PAPER = Object(
    "paper",
    {
        "published": Scalar(Integer(VERSION, maximum=VERSION)),
        "id": Scalar(PAPER_ID),
        "title": Scalar(LINE),
        "authors": Scalar(LINE),
        "year": Scalar(Integer(1900)),
        "url": Scalar(LINK),
        "read_from": Scalar(LINE),
        "measures": Sequence(
            Object(
                "measure",
                {
                    "metric": Scalar(LINE),
                    "values": Sequence(Scalar(LINE), most=2, one=True),
                    "unit": Scalar(LINE),
                    "better": Scalar(Choice(("higher", "lower"))),
                },
                required=("metric", "values", "better"),
            )
        ),
        "settings": Sequence(
            Object(
                "setting",
                {"id": Scalar(PAPER_ID), "stated": STATED, "unstated": LINES},
                required=("id", "stated"),
            )
        ),
        "tables": Sequence(
            Object(
                "table",
                {
                    "id": Scalar(TABLE_ID),
                    "title": Scalar(LINE),
                    "place": Scalar(LINE),
                    "kind": Scalar(Choice(tuple(Kind))),
                    "setting": Scalar(PAPER_ID),
                    "unstated": LINES,
                    "needs": LINES,
                    "card": Scalar(NAME),
                },
                required=("id", "title", "place", "kind"),
            ),
            most=99,
        ),
        "prose": Object("prose", {"unstated": LINES}),
        "doubts": Sequence(
            Object(
                "doubt",
                {
                    "kind": Scalar(Choice(("misprint", "contradiction", "inferred"))),
                    "says": Scalar(LINE),
                    "claims": Sequence(Scalar(CLAIM_ID)),
                },
                required=("kind", "says"),
            )
        ),
    },
    required=("published", "id", "title", "read_from", "measures", "tables"),
)

SELECTION = Table("claims", Choice(COLUMNS), Sequence(AnyScalar(), most=50, one=True))
ENTRY = Object(
    "entry",
    {"id": Scalar(LEVEL_ID), "title": Scalar(LINE), "claims": SELECTION, "where": WHERE},
    required=("id", "claims", "where"),
)
SAME_NUMBER = Object(
    "same_number",
    {"sizes": SIZE_NAMES, "claims": SELECTION, "margin": Scalar(Number(above=0, most=1))},
    required=("sizes", "margin"),
)
SAME_NETWORK = Object(
    "same_network", {"sizes": SIZE_NAMES, "claims": SELECTION, "but": Scalar(LINE)}, required=("sizes", "but")
)
MAPPING = Object(
    "mapping",
    {
        "mapping": Scalar(Integer(VERSION, maximum=VERSION)),
        "study": Scalar(STUDY_ID),
        "papers": Sequence(
            Object(
                "paper",
                {
                    "paper": Scalar(PAPER_ID),
                    "differs": Scalar(PROSE),
                    "differs_at": Object("differs_at", {size: Scalar(PROSE) for size in SIZES}),
                    "comparisons": Sequence(
                        Object(
                            "comparison",
                            {
                                "tables": Sequence(Scalar(TABLE_ID), most=20, one=True),
                                "claims": SELECTION,
                                "where": WHERE,
                                "float": SELECTION,
                                "rows": Sequence(ENTRY, most=50),
                                "at": Sequence(ENTRY, most=50),
                                "contrasts": Sequence(
                                    Object(
                                        "contrast",
                                        {"of": Scalar(LEVEL_ID), "minus": Scalar(LEVEL_ID)},
                                        required=("of", "minus"),
                                    )
                                ),
                                "same_number": SAME_NUMBER,
                                "same_network": Sequence(SAME_NETWORK, most=10, one=True),
                            },
                            required=("tables", "rows"),
                        ),
                        most=50,
                    ),
                    "statements": Sequence(
                        Object(
                            "statement",
                            {
                                "says": Scalar(LINE),
                                "place": Scalar(LINE),
                                "claims": Sequence(Scalar(CLAIM_ID), most=50, one=True),
                                "expectation": Scalar(STUDY_ID),
                            },
                            required=("says", "place", "expectation"),
                        )
                    ),
                },
                required=("paper",),
            ),
            most=10,
        ),
    },
    required=("mapping", "study", "papers"),
)
