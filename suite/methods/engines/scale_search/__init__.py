"""Methods, scale search engine: scales chosen for what the products that read them give, compared with the float model.

calibrate(work)                                    # every scale has a start
figures = search_scales(work, ScaleSearch(...))    # each is multiplied by the best of many factors, product by product
"""

from __future__ import annotations

from suite.methods.engines.scale_search.search import Candidates, ScaleSearch, linear_candidates, search_scales
from suite.methods.engines.scale_search.similarity import Measure, Ranking, Units

__all__ = ["Candidates", "Measure", "Ranking", "ScaleSearch", "Units", "linear_candidates", "search_scales"]
