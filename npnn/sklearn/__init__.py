"""npnn as scikit-learn estimators: networks that go into pipelines, grid searches and cross-validation.

from npnn.sklearn import NeuralNetClassifier

model = make_pipeline(StandardScaler(), NeuralNetClassifier((200, 100), dropout=0.2, random_state=0))
model.fit(X, y).score(X_test, y_test)
"""

from npnn.data._optional import require

require("sklearn", "npnn.sklearn", "sklearn")

from npnn.sklearn.classifier import NeuralNetClassifier  # noqa: E402  the line above says what to install
from npnn.sklearn.regressor import NeuralNetRegressor  # noqa: E402

__all__ = ["NeuralNetClassifier", "NeuralNetRegressor"]
